"""A file a part of the report: records of a run in, a section out, None where there is nothing."""
