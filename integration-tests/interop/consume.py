"""Consumes what Sporelog's producers wrote, as a stranger does: with confluent-kafka and its own Avro deserialiser.

Reads the topics from their first record to their end as of now, and prints one JSON line per record: topic, partition,
offset, key, the record's name in its schema, and the value. Fails at the first record that is not in Confluent framing.
"""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.schema_registry import topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

import common


def arguments():
    """The command line."""
    options = common.parser(__doc__)
    options.add_argument("--topics", required=True, help="names without the prefix, separated by commas")
    options.add_argument("--timeout-s", type=float, default=60.0, help="how long one record may take to come")
    return options.parse_args()


def ends(consumer, topics, timeout_s):
    """The partitions of the topics that hold records, with the offset after their last one."""
    known = consumer.list_topics(timeout=timeout_s).topics
    missing = [topic for topic in topics if topic not in known]
    if missing:
        sys.exit(f"no such topics: {', '.join(missing)}")
    found = {}
    for topic in topics:
        for number in known[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=timeout_s)
            if low < high:
                found[topic, number] = high
    return found


def name_of(client, names, value):
    """The full name of the record's schema, by its id."""
    schema_id = int.from_bytes(value[1:5], "big")
    if schema_id not in names:
        schema = json.loads(client.get_schema(schema_id).schema_str)
        names[schema_id] = f"{schema['namespace']}.{schema['name']}"
    return names[schema_id]


def main():
    """Prints the records."""
    options = arguments()
    client = common.registry(options)
    deserialize = AvroDeserializer(client, conf={"subject.name.strategy": topic_record_subject_name_strategy})
    consumer = Consumer(
        {"bootstrap.servers": options.bootstrap, "group.id": "interop-unused", "enable.auto.commit": False}
    )
    left = ends(consumer, [options.topic_prefix + topic for topic in options.topics.split(",")], options.timeout_s)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in left])
    names = {}
    while left:
        message = consumer.poll(options.timeout_s)
        if message is None:
            sys.exit(f"nothing came for {options.timeout_s} s; open: {sorted(left)}")
        if message.error():
            sys.exit(str(message.error()))
        place = message.topic(), message.partition()
        if place not in left or message.offset() >= left[place]:
            continue
        try:
            context = SerializationContext(message.topic(), MessageField.VALUE)
            event = deserialize(message.value(), context)
        except SerializationError as error:
            sys.exit(f"{message.topic()}/{message.partition()} offset {message.offset()}: {error}")
        line = {
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "key": message.key().decode(),
            "event": name_of(client, names, message.value()),
            "value": event,
        }
        print(json.dumps(line, default=str))
        if message.offset() + 1 >= left[place]:
            del left[place]
    consumer.close()


if __name__ == "__main__":
    main()
