DROP VIEW contact_day;
DROP TABLE {views}contact_day;
