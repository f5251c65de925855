"""The processes of a node that runs several: a supervisor with what there is one of, and its workers."""
