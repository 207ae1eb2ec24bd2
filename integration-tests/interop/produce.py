"""Produces events as a stranger to Sporelog does: with confluent-kafka and its own Avro serialiser.

Nothing of Sporelog is used but its schemas. Events of three kinds, keyed `tenant|key`, partitioned by murmur2_random,
subjects by TopicRecordNameStrategy. Prints what was written as JSON: the number of events of each kind, and sums to
compare the views with.
"""

import hashlib
import json
import random
import sys
import time
import uuid

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import common

TOPICS = {
    "AgentHeartbeat": ("agent_heartbeat", "agent.presence"),
    "InteractionRecorded": ("interaction_recorded", "sacred.messages"),
    "SporeCreated": ("spore_created", "spore.created"),
}


def arguments():
    """The command line."""
    options = common.parser(__doc__)
    options.add_argument("--events", type=int, default=300, help="how many events, in equal parts of the three kinds")
    options.add_argument("--tenant", default="interop")
    options.add_argument("--seed", type=int, default=1, help="another seed is another producer with other events")
    options.add_argument("--no-auto-register", action="store_true", help="the schemas must be registered already")
    options.add_argument(
        "--newer", action="store_true", help="register by hand, and write, versions with a field that Sporelog lacks"
    )
    return options.parse_args()


def text_of(kind, newer):
    """The schema that this producer writes with."""
    text = (common.SCHEMAS / f"{TOPICS[kind][0]}.avsc").read_text(encoding="utf-8")
    if not newer:
        return text
    schema = json.loads(text)
    # Before the fields that Sporelog knows: it must skip it by the writer's schema.
    field = {"name": "interop_note", "type": ["null", "string"], "default": None, "doc": "A field of a newer producer."}
    schema["fields"].insert(1, field)
    return json.dumps(schema)


class Events:
    """Makes events of agents who talk to one another; the same seed gives the same ones but for the time."""

    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.start_us = time.time_ns() // 1_000
        self.seq = {kind: 0 for kind in TOPICS}

    def meta(self, kind, number):
        """Who appends it, and when; numbered per topic."""
        self.seq[kind] += 1
        return {
            "event_id": str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
            "occurred_at": self.start_us + number,
            "tenant_id": self.options.tenant,
            "producer_id": f"confluent-python/{self.options.seed}",
            "producer_seq": self.seq[kind],
            "love_resonance": 50,
        }

    def event(self, kind, number):
        """An event and its key after the tenant."""
        meta = self.meta(kind, number)
        agent, peer = self.random.sample([f"agent-{name}" for name in "abcdefgh"], 2)
        if kind == "AgentHeartbeat":
            coherence = self.random.randrange(101)
            return agent, {"meta": meta, "agent_id": agent, "region_id": "north", "coherence_level": coherence}
        if kind == "InteractionRecorded":
            return agent, {
                "meta": meta,
                "interaction_id": meta["event_id"],
                "agent_id": agent,
                "peer_id": peer,
                "interaction_type": "message",
                "message": f"message {number} — grüße",
                "context": {"client": "confluent-kafka"},
                "field_impact": 0.25,
                "affection_delta": 1.0,
                "trust_delta": 0.5,
                "region_id": "north",
            }
        content = f"spore {number} of {agent}"
        return meta["event_id"], {
            "meta": meta,
            "spore_id": meta["event_id"],
            "origin_agent": agent,
            "region_id": "north",
            "spore_type": "whisper",
            "content": content,
            "content_hash": hashlib.sha256(content.encode()).hexdigest(),
            "signature": hashlib.sha256(agent.encode()).hexdigest(),
            "resonance_score": 0.5,
            "tags": ["interop"],
        }


def main():
    """Writes the events; fails if one was not acknowledged."""
    options = arguments()
    client = common.registry(options)
    config = {
        "auto.register.schemas": not (options.no_auto_register or options.newer),
        "subject.name.strategy": topic_record_subject_name_strategy,
    }
    serializers, topics = {}, {}
    for kind, (_, topic) in TOPICS.items():
        topics[kind], text = options.topic_prefix + topic, text_of(kind, options.newer)
        if options.newer:
            client.register_schema(f"{topics[kind]}-io.sporelog.{kind}", Schema(text, "AVRO"))
        serializers[kind] = AvroSerializer(client, text, conf=config)
    producer = Producer(
        {
            "bootstrap.servers": options.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "delivery.timeout.ms": 30_000,
        }
    )
    failures, events, kinds = [], Events(options), list(TOPICS)
    counts = {kind: 0 for kind in kinds}
    senders = {}
    for number in range(options.events):
        kind = kinds[number % len(kinds)]
        key, event = events.event(kind, number)
        if options.newer:
            event["interop_note"] = "new"
        context = SerializationContext(topics[kind], MessageField.VALUE)
        producer.produce(
            topics[kind],
            key=f"{options.tenant}|{key}".encode(),
            value=serializers[kind](event, context),
            on_delivery=lambda error, _: error and failures.append(str(error)),
        )
        producer.poll(0)
        counts[kind] += 1
        if kind == "InteractionRecorded":
            senders[key] = senders.get(key, 0) + 1
    left = producer.flush(60)
    if failures or left:
        sys.exit(f"{left} events not acknowledged, {len(failures)} failed: {failures[:1]}")
    print(json.dumps({"events": counts, "interactions_sent": senders}))


if __name__ == "__main__":
    main()
