DROP TABLE dead_record;
DROP TABLE producer_block;
DROP TABLE producer;
DROP TABLE position;
DROP TABLE projection;
