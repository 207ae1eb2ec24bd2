"""What the foreign producer and consumer share: the command line, and the client of the schema registry."""

import argparse
import pathlib

from confluent_kafka.schema_registry import SchemaRegistryClient

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas"


def parser(description):
    """The options that both programs have."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--bootstrap", required=True, help="brokers, host:port separated by commas")
    options.add_argument("--registry", required=True, help="the address under which /subjects lies")
    options.add_argument("--topic-prefix", default="", help="goes before the name of every topic")
    return options


def registry(arguments):
    """A client of the registry."""
    return SchemaRegistryClient({"url": arguments.registry})
