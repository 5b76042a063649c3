"""What goes wrong with Kafka, as exceptions that say what to do.

A :class:`KafkaUnavailable` is a :class:`ConnectionError`: it passes by itself when the brokers are back, so a policy
may retry it. Everything else needs somebody: a :class:`KafkaFailure` and its kinds.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from fluxion_flow.errors import FluxionError


class KafkaUnavailable(ConnectionError):
    """No broker answers, or not in time. Trying again later may help."""


class KafkaFailure(FluxionError):
    """The cluster, or the client, refused what was asked of it."""


class AuthenticationFailed(KafkaFailure):
    """The brokers do not accept the credentials, or the TLS handshake failed."""


class NotAuthorized(KafkaFailure):
    """The user may not do this to the topic, the group or the transactional id."""


class UnknownTopic(KafkaFailure):
    """A topic, or a partition of it, does not exist (any more)."""


class PositionLost(KafkaFailure):
    """The position to read from is no longer, or not yet, in the partition."""


class Fenced(KafkaFailure):
    """Another writer has taken over the transactional id, or has moved the cursor that this run started from."""


_AUTHENTICATION = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
}
_AUTHORIZATION = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_LOST = {KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET}
_FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
}
_PASSING = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._WAIT_COORD,
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.CONCURRENT_TRANSACTIONS,
}


def is_authentication(error: KafkaError) -> bool:
    """Whether the credentials or the TLS set-up are wrong, which no waiting repairs."""
    return error.code() in _AUTHENTICATION


def is_of_partition(error: KafkaError) -> bool:
    """Whether it is about a topic or a partition: gone, or not allowed."""
    return error.code() in _MISSING or error.code() in _AUTHORIZATION


def failure(error: KafkaError | KafkaException, doing: str) -> Exception:
    """The exception for an error of the client library; ``doing`` says what was tried: ``reading orders/00003``."""
    reported: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    code = reported.code()
    text = f"{doing}: {reported.str()} ({reported.name()})"
    if code in _AUTHENTICATION:
        hint = "check security_protocol, sasl_mechanism, the user and the password"
        return AuthenticationFailed(f"{text}; {hint}")
    if code in _AUTHORIZATION:
        return NotAuthorized(f"{text}; grant the user this right, or correct the name")
    if code in _MISSING:
        return UnknownTopic(f"{text}; create it, or correct the name")
    if code in _FENCED:
        return Fenced(
            f"{text}; another run writes with the same transactional_id: stop one of them. (A transaction that "
            "takes longer than transaction_timeout ends like this, too.)"
        )
    if code == KafkaError.MSG_SIZE_TOO_LARGE:
        return KafkaFailure(f"{text}; raise max.message.bytes of the topic and message.max.bytes in options")
    if code in _LOST:
        return PositionLost(text)
    if code in _PASSING or reported.retriable():
        return KafkaUnavailable(text)
    return KafkaFailure(text)
