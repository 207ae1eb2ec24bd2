"""Deletes the topics and subjects of a test: everything under its prefix."""

import sys

from confluent_kafka.admin import AdminClient

import common


def main():
    """Deletes them."""
    options = common.parser(__doc__).parse_args()
    prefix = options.topic_prefix
    if not prefix:
        sys.exit("--topic-prefix must name the test: nothing else is deleted")
    admin = AdminClient({"bootstrap.servers": options.bootstrap})
    topics = [topic for topic in admin.list_topics(timeout=30).topics if topic.startswith(prefix)]
    for deleted in admin.delete_topics(topics).values() if topics else []:
        deleted.result()
    client = common.registry(options)
    for subject in client.get_subjects():
        if subject.startswith(prefix):
            client.delete_subject(subject)


if __name__ == "__main__":
    main()
