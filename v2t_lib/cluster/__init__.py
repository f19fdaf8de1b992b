"""The single-machine commands on an Apache Spark cluster: a slice is a task.

May import everything below `cli`, and pyspark, fsspec and pyarrow, each loaded when it is used.
Start reading at `tasks`.
"""
