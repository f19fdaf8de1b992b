"""The single-machine commands on an Apache Spark cluster: shares of the sources become tasks.

May import everything below `cli`, and pyspark, fsspec and pyarrow, each loaded when it is used.
Start reading at `run`; `jobs` holds what a task does for each command.
"""
