"""The ports over aiokafka: the only place that imports it."""

from consumers.kafka.connection import KafkaConnection
from consumers.kafka.log import KafkaLog
from consumers.kafka.producing import KafkaDeadLetters, KafkaEventSink
from consumers.kafka.topics import KafkaTopics

__all__ = ["KafkaConnection", "KafkaDeadLetters", "KafkaEventSink", "KafkaLog", "KafkaTopics"]
