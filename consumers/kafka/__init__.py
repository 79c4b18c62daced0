"""The ports over aiokafka: the only place that imports it."""

from consumers.kafka.connection import KafkaConnection
from consumers.kafka.log import KafkaLog
from consumers.kafka.options import BadOption, consumer_options, producer_options
from consumers.kafka.producing import KafkaDeadLetters, KafkaEventSink
from consumers.kafka.security import Security, UnusableSecurity
from consumers.kafka.topics import KafkaTopics

__all__ = [
    "BadOption",
    "KafkaConnection",
    "KafkaDeadLetters",
    "KafkaEventSink",
    "KafkaLog",
    "KafkaTopics",
    "Security",
    "UnusableSecurity",
    "consumer_options",
    "producer_options",
]
