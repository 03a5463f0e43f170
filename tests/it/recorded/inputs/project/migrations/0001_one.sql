-- migrate:all
CREATE TABLE one (a integer);
