"""For those who test: their connectors against the SPI's contract, and their pipelines."""
