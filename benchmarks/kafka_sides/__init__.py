"""One program a contender: `python kafka_sides/NAME.py BOOTSTRAP SOURCE SINK`, run by benchmarks/kafka_runs.py.

Each does one of the Kafka jobs as the documentation of its library teaches. Those that end by themselves at the end of
the topic do so; the others run until they are told to stop. None imports what another needs: some have environments of
their own.
"""
