DROP TABLE {records}interactions;
DROP TABLE {records}spore_path;
DROP TABLE {records}spores_by_day;
DROP TABLE {records}spores;
