-- Version 2: what a plan decided first stays beside what became of it, so that a report can show both.

ALTER TABLE delivery_count ADD COLUMN planned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery_count ADD COLUMN people INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN reached_people INTEGER NOT NULL DEFAULT 0;
