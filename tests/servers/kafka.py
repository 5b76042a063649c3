"""Kafka for tests, on loopback ports: Apache Kafka in KRaft mode on the local JVM, or librdkafka's mock cluster.

The broker's jars come from Maven Central by ``mvn dependency:copy-dependencies``, once, into the user's cache. Without
Java or Maven, or with ``KAFKA=mock`` in the environment, the mock cluster stands in, unless ``CI=true``: then the real
broker is required. :data:`Kafka.real` says which one it is.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .ports import free_ports

VERSION = "3.9.1"
ARTIFACT = ("org.apache.kafka", "kafka_2.13", VERSION)
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "fluxion-flow" / f"kafka-{VERSION}"
QUIET = {"log_level": 0}

USER, PASSWORD = "alice", "alice-pw"
CONNECTION_STRING = (
    "Endpoint=sb://127.0.0.1/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=bm90IGEgc2VjcmV0"
)
"""What the user ``$ConnectionString`` signs in with on the SASL listener."""


class Kafka(Protocol):
    """A cluster that tests read from and write to."""

    real: bool
    bootstrap: str
    """Addresses, comma-separated, without authentication."""


def why_no_real_broker() -> str | None:
    """What the real broker lacks here; ``None``: nothing."""
    if os.environ.get("KAFKA") == "mock":
        return "KAFKA=mock asks for the mock cluster"
    for program in ("java", *(() if CACHE.is_dir() else ("mvn",))):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


@contextmanager
def kafka() -> Iterator[Kafka]:
    """A real broker, or the mock cluster where there cannot be one; under ``CI=true`` a real broker or an error."""
    reason = why_no_real_broker()
    if reason is None:
        with RealKafka() as real:
            yield real
    elif os.environ.get("CI") == "true":
        raise RuntimeError(f"a real Kafka broker is required under CI=true, but {reason}")
    else:
        with MockKafka() as mock:
            yield mock


class MockKafka:
    """librdkafka's mock cluster, inside a client of this process. It keeps about 5 MB a partition."""

    real = False

    def __init__(self, brokers: int = 1) -> None:
        self._client = Producer({"test.mock.num.brokers": brokers, "bootstrap.servers": "mock", **QUIET})
        found = self._client.list_topics(timeout=10).brokers.values()
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in found)

    def __enter__(self) -> MockKafka:
        return self

    def __exit__(self, *_: object) -> None:
        del self._client


_GUARD = """
cat >/dev/null
for file in "$0"/*.pid; do [ -f "$file" ] && kill -9 "$(cat "$file")" 2>/dev/null; done
rm -rf "$0"
"""
"""Waits until its input ends, also because a test run was killed; then no broker stays behind, and no directory."""


class RealKafka:
    """Apache Kafka in KRaft mode: ``brokers`` processes, each a broker and a controller, in a directory of their own.

    ``sasl`` is the address of a listener that asks for a user: ``alice`` (PLAIN, SCRAM-SHA-256), ``$ConnectionString``
    (PLAIN), or an unsigned token (OAUTHBEARER).
    """

    real = True

    def __init__(self, brokers: int = 1) -> None:
        self.count = brokers
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> RealKafka:
        self._jars = jars()
        self._directory = Path(tempfile.mkdtemp(prefix="kafka-"))
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, str(self._directory)], stdin=subprocess.PIPE, start_new_session=True
        )
        ports = free_ports(3 * self.count)
        self._ports = [ports[3 * n : 3 * n + 3] for n in range(self.count)]
        self.bootstrap = ",".join(f"127.0.0.1:{plain}" for plain, _, _ in self._ports)
        self.sasl = ",".join(f"127.0.0.1:{sasl}" for _, sasl, _ in self._ports)
        cluster = "k" + secrets.token_urlsafe(16)[1:]  # an option is what begins with a dash
        try:
            for number in range(self.count):
                config = self._configure(number)
                scram = f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"
                self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config), "--add-scram", scram)
            for number in range(self.count):
                self.start(number, wait=False)
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._processes):
            self.stop(number, signal.SIGKILL)
        self._guard.communicate()

    def start(self, number: int = 0, *, wait: bool = True) -> None:
        """Start a broker that does not run; with ``wait``, return when it serves."""
        with open(self._directory / f"broker-{number}.log", "ab") as log:
            self._processes[number] = subprocess.Popen(
                self._command("kafka.Kafka", str(self._directory / f"{number}.properties")),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
            )
        (self._directory / f"{number}.pid").write_text(str(self._processes[number].pid))
        if wait:
            self.wait()

    def stop(self, number: int = 0, with_signal: int = signal.SIGTERM) -> None:
        """End a broker and wait until it is gone."""
        process = self._processes.pop(number)
        process.send_signal(with_signal)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        (self._directory / f"{number}.pid").unlink()

    def wait(self) -> None:
        """Return when every started broker is in the metadata."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, **QUIET})
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            dead = [number for number, process in self._processes.items() if process.poll() is not None]
            if dead:
                log = (self._directory / f"broker-{dead[0]}.log").read_text(errors="replace")
                raise RuntimeError(f"Kafka broker {dead[0]} ended:\n{log[-3000:]}")
            try:
                if len(admin.list_topics(timeout=2).brokers) >= len(self._processes):
                    return
            except Exception:  # noqa: BLE001 - it does not answer yet
                time.sleep(0.1)
            time.sleep(0.05)
        raise RuntimeError("Kafka did not start in 90 seconds")

    def _configure(self, number: int) -> Path:
        plain, sasl, controller = self._ports[number]
        voters = ",".join(f"{n}@127.0.0.1:{ports[2]}" for n, ports in enumerate(self._ports))
        replicas = min(self.count, 3)
        users = {USER: PASSWORD, "$ConnectionString": CONNECTION_STRING}
        listed = " ".join(f'user_{name}="{password}"' for name, password in users.items())
        settings = {
            "process.roles": "broker,controller",
            "node.id": number,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,OAUTHBEARER",
            "listener.name.sasl.scram-sha-256.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "listener.name.sasl.oauthbearer.sasl.jaas.config": (
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
            ),
            "listener.name.sasl.oauthbearer.sasl.server.callback.handler.class": (
                "org.apache.kafka.common.security.oauthbearer.internals.unsecured."
                "OAuthBearerUnsecuredValidatorCallbackHandler"
            ),
            "listener.name.sasl.plain.sasl.jaas.config": (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {listed};"
            ),
            "connection.failed.authentication.delay.ms": 0,
            "log.dirs": self._directory / f"data-{number}",
            "num.partitions": 1,
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.num.partitions": 3,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": min(replicas, 2),
            "group.initial.rebalance.delay.ms": 0,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 3000,
            "controlled.shutdown.enable": str(self.count > 1).lower(),
        }
        path = self._directory / f"{number}.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return path

    def _command(self, main: str, *arguments: str) -> list[str]:
        flags = ["-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        flags.append("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        return ["java", *flags, "-cp", f"{self._jars}/*", main, *arguments]

    def _java(self, main: str, *arguments: str) -> None:
        done = subprocess.run(self._command(main, *arguments), capture_output=True, cwd=self._directory, check=False)
        if done.returncode:
            raise RuntimeError(f"{main} failed:\n{(done.stdout + done.stderr).decode(errors='replace')[-3000:]}")


def jars() -> Path:
    """The directory with the broker's jars, fetched from Maven Central when it is not there yet."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with open(CACHE.parent / f"{CACHE.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not CACHE.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE.parent) as temporary:
                _fetch(Path(temporary))
                os.rename(Path(temporary) / "jars", CACHE)
    return CACHE


def _fetch(directory: Path) -> None:
    group, artifact, version = ARTIFACT
    (directory / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version><dependencies><dependency>"
        f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        "</dependency></dependencies></project>"
    )
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=jars"]
    done = subprocess.run(command, cwd=directory, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"mvn could not fetch {artifact} {version}:\n{done.stdout.decode(errors='replace')[-3000:]}")


# ------------------------------------------------------------------------------------------------------------- topics


def new_topic(cluster: Kafka, partitions: int = 1, prefix: str = "t", **config: Any) -> str:
    """Create a topic with a name of its own, and return the name. ``config`` holds topic settings, ``_`` for ``.``."""
    name = f"{prefix}-{secrets.token_hex(4)}"
    create_topic(cluster, name, partitions, **config)
    return name


def create_topic(cluster: Kafka, name: str, partitions: int = 1, **config: Any) -> None:
    """Create a topic and wait until it can be written to. The mock cluster gives every topic four partitions."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap, **QUIET})
    if cluster.real:
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        replicas = len(cluster.bootstrap.split(","))
        admin.create_topics([NewTopic(name, partitions, replicas, config=settings)])[name].result(20)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = admin.list_topics(name, timeout=5).topics[name]
        if found.error is None and all(part.leader >= 0 for part in found.partitions.values()):
            return
        time.sleep(0.02)
    raise RuntimeError(f"topic {name} has no leader after 20 seconds")


def produce(cluster: Kafka, topic: str, values: Sequence[bytes | None], partition: int = 0, **settings: Any) -> None:
    """Write values, in order, and wait until they are acknowledged. ``settings``: ``key``, ``headers``, …"""
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 0, **QUIET})
    failures: list[Any] = []
    for value in values:
        producer.produce(
            topic, value, partition=partition, on_delivery=lambda error, _: error and failures.append(error), **settings
        )
        producer.poll(0)
    left = producer.flush(30)
    if left or failures:
        raise RuntimeError(f"{left} records were not written, {failures[:1]}")


def records(cluster: Kafka, topic: str, isolation: str = "read_committed") -> list[Any]:
    """The messages of a topic as a plain consumer reads them, partition by partition."""
    settings = {"bootstrap.servers": cluster.bootstrap, "group.id": "check", "isolation.level": isolation, **QUIET}
    consumer = Consumer(
        {**settings, "enable.partition.eof": True, "enable.auto.commit": False, "fetch.wait.max.ms": 10}
    )
    found: list[Any] = []
    for partition in sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions):
        consumer.assign([TopicPartition(topic, partition, 0)])
        while True:
            message = consumer.poll(20)
            if message is None:
                raise RuntimeError(f"{topic}/{partition} gives nothing")
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                break
            elif error.code() != KafkaError._ALL_BROKERS_DOWN:
                raise RuntimeError(str(error))
    consumer.close()
    return found
