"""POST /events: native events over HTTP, for emitters without a Kafka client."""
