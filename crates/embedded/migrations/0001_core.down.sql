DROP TABLE producer;
DROP TABLE position;
