"""Every metric of the product, declared once: name, kind, meaning.  Units stand in the name."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS_LANDED = Counter("yesladder_events_landed_total", "Events committed to the lake by this worker")
EVENTS_LATE = Counter("yesladder_events_late_total", "Events that arrived after the watermark, landed and flagged")
EVENTS_DUPLICATE = Counter("yesladder_events_duplicate_total", "Events whose id had arrived already, left out")
EVENTS_REJECTED = Counter("yesladder_events_rejected_total", "Events sent to the dead letters", ["reason"])
SESSIONS_CLOSED = Counter("yesladder_sessions_closed_total", "Sessions closed and committed")
OFFSETS_SKIPPED = Counter("yesladder_offsets_skipped_total", "Kafka offsets that were gone before they could be read")
OPEN_EVENTS = Gauge("yesladder_open_events", "Events held because their session may still grow")
OPEN_SESSIONS = Gauge("yesladder_open_sessions", "Visitors with an open session (an estimate)")
CHECKPOINT_SECONDS = Histogram("yesladder_checkpoint_seconds", "Time from taking records in to their commit")
LAG_RECORDS = Gauge("yesladder_lag_records", "Kafka records not committed to the lake yet", ["partition"])
STEP_MINUTES_RECORDS = Counter(
    "yesladder_step_minutes_records_total", "Records on the topic of step minutes: counts, and heartbeats", ["kind"]
)
STEP_MINUTES_FAILED = Counter(
    "yesladder_step_minutes_failed_total", "Times that the topic of step minutes did not take what was counted"
)
STEP_MINUTES_ASKS = Counter("yesladder_step_minutes_asks_total", "Asks told of on the topic of step minutes")
WATERMARK_DELAY = Gauge("yesladder_watermark_delay_seconds", "How far event time is behind the clock", ["partition"])

COLLECTOR_ANSWERS = Counter("yesladder_collector_answers_total", "Answers of the collector", ["status"])
COLLECTOR_EVENTS = Counter(
    "yesladder_collector_events_total", "Events that the collector accepted: Kafka or its spool has them"
)
COLLECTOR_REJECTED = Counter(
    "yesladder_collector_events_rejected_total", "Events that the collector made dead letters", ["reason"]
)
SPOOL_RECORDS = Gauge("yesladder_collector_spool_records", "Kafka records in the collector's spool")
SPOOL_BYTES = Gauge("yesladder_collector_spool_bytes", "Bytes of the records in the collector's spool")
SPOOL_OLDEST = Gauge(
    "yesladder_collector_spool_oldest_seconds", "How long the first of them has waited for Kafka; 0 when none waits"
)
SPOOL_REFUSED = Gauge(
    "yesladder_collector_spool_refused_records", "Those of them that Kafka refuses and that are kept aside"
)
COLLECTOR_IN_FLIGHT_BYTES = Gauge("yesladder_collector_in_flight_bytes", "Bodies received and not answered yet")
COLLECTOR_PUBLISH_SECONDS = Histogram(
    "yesladder_collector_publish_seconds",
    "Time from handing a group of requests to the publisher to the word of Kafka or of the spool",
)

ALERTS_RAISED = Counter("yesladder_alerts_total", "Notices of alerts written down, told or not", ["what", "kind"])
ALERTS_OPEN = Gauge("yesladder_alerts_open", "Alerts that are open")
ALERT_KEYS = Gauge("yesladder_alert_keys", "Steps and segments that the alert agent watches", ["known"])
ALERT_DELAY = Gauge("yesladder_alert_delay_seconds", "How far the minute judged last is behind the clock")
ALERT_PASSED_OVER = Gauge(
    "yesladder_alert_passed_over", "Counts that the alert agent could not use since it learnt, and why", ["why"]
)
ALERT_DELIVERIES = Counter("yesladder_alert_deliveries_total", "Tries to tell a sink of an alert", ["sink", "outcome"])
ALERT_WAITING = Gauge("yesladder_alert_waiting", "Notices that a sink has not taken yet", ["sink"])
