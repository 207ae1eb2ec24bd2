DROP TABLE {views}contact_day;
DROP TABLE {views}agent_presence;
DROP TABLE {views}agent_history;
DROP TABLE {views}agent;
DROP TABLE {views}contact;
DROP TABLE {views}received;
DROP TABLE {views}spore;
