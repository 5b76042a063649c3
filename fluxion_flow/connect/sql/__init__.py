"""What whoever speaks to SQL databases needs, connectors and enrichments alike: addresses, and values of columns."""
