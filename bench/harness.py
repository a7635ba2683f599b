"""What every run shares: ports, process trees, the counting sink and the load."""

import os
import pathlib
import random
import re
import socket
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "postrider-bench"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
# A run that takes longer than this has failed; no load here needs a tenth of it.
RUN_SECONDS_MAX = 600


def free_port():
    """A free port below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def wait_for_port(port, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.settimeout(5)
                if s.recv(4)[:3] == b"220":
                    return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing answers on 127.0.0.1:{port} after {seconds} s")


def stat(pid):
    """(parent, own CPU seconds, reaped children's CPU seconds, resident octets) of a process."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    cpu = (int(fields[11]) + int(fields[12])) / TICKS
    reaped = (int(fields[13]) + int(fields[14])) / TICKS
    return int(fields[1]), cpu, reaped, int(fields[21]) * PAGE


def tree(root):
    """A process and all below it."""
    table = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            table[int(pid)] = stat(pid)
        except OSError:
            pass
    found, more = set(), {root} & set(table)
    while more:
        found |= more
        more = {pid for pid, s in table.items() if s[0] in found} - found
    return {pid: table[pid] for pid in found}


def build(name):
    """One of the small programs beside this file, built once."""
    source, built = HERE / f"{name}.rs", CACHE / name
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["rustc", "--edition", "2024", "-O", "-o", built, source], check=True)
    return str(built)


class Watch:
    """CPU seconds and peak resident memory of a process tree between start and stop."""

    def __init__(self, root):
        self.root, self.peak, self.running = root, 0, True
        self.before = self.cpu()
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()

    def cpu(self):
        # Children that ended are in their parent's count, so nothing short-lived is missed.
        return sum(cpu + reaped for _, cpu, reaped, _ in tree(self.root).values())

    def sample(self):
        while self.running:
            self.peak = max(self.peak, sum(s[3] for s in tree(self.root).values()))
            time.sleep(0.25)

    def stop(self):
        self.running = False
        self.thread.join()
        return self.cpu() - self.before, self.peak


class Sink:
    """bench/sink.rs, built once: it costs half of what smtp-sink does."""

    def __init__(self):
        self.port, self.count = free_port(), 0
        self.process = subprocess.Popen([build("sink"), str(self.port)], stdout=subprocess.PIPE)
        threading.Thread(target=self.read, daemon=True).start()
        wait_for_port(self.port)

    def read(self):
        tail = b""
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            tail = (tail + chunk)[-256:]
            if found := re.findall(rb"mesg=(\d+)", tail):
                self.count = int(found[-1])

    def wait(self, count, start):
        """Seconds from `start` until `count` messages have come."""
        while self.count < count:
            if time.monotonic() - start > RUN_SECONDS_MAX:
                raise SystemExit(f"only {self.count} of {count} messages came out in {RUN_SECONDS_MAX} s")
            time.sleep(0.005)
        return time.monotonic() - start

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Probe(threading.Thread):
    """One client beside the load that measures the time from the final dot to the 250."""

    def __init__(self, port, octets):
        super().__init__(daemon=True)
        self.port, self.running, self.spans = port, True, []
        line = b"x" * 76 + b"\r\n"
        self.body = b"From: <probe@source.example>\r\nSubject: probe\r\n\r\n" + line * max(1, octets // 78) + b".\r\n"

    def run(self):
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            lines = s.makefile("rb")

            def say(text):
                s.sendall(text)
                while (reply := lines.readline())[3:4] == b"-":
                    pass
                return reply

            lines.readline()
            say(b"EHLO probe.example\r\n")
            while self.running:
                say(b"MAIL FROM:<probe@source.example>\r\n")
                say(b"RCPT TO:<probe@sink.example>\r\n")
                say(b"DATA\r\n")
                start = time.monotonic()
                reply = say(self.body)
                self.spans.append(time.monotonic() - start)
                if not reply.startswith(b"250"):
                    raise SystemExit(f"the probe was refused: {reply!r}")
                time.sleep(0.02)

    def stop(self):
        self.running = False
        self.join()
        return sorted(self.spans)


def percentile(spans, share):
    return spans[min(len(spans) - 1, int(len(spans) * share))] if spans else float("nan")


def load(port, messages, octets, keep, sessions=20):
    command = ["smtp-source", "-s", str(sessions), "-m", str(messages), "-l", str(octets)]
    command += ["-f", "load@source.example", "-t", "load@sink.example"] + (["-d"] if keep else [])
    return subprocess.Popen(command + [f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL)


def run(server, sink, messages, octets, keep):
    """One measured run; the server and the sink are up and idle."""
    watch, before = Watch(server.pid), sink.count
    probe = Probe(server.port, octets) if server.queues else None
    if probe:
        probe.start()
    start = time.monotonic()
    source = load(server.port, messages, octets, keep)
    if source.wait() != 0:
        raise SystemExit(f"smtp-source failed against {server.name}")
    accepted = time.monotonic() - start
    spans = probe.stop() if probe else []
    total = messages + len(spans)
    took = sink.wait(before + total, start)
    cpu, peak = watch.stop()
    return {
        "rate": total / took,
        "accept_rate": messages / accepted,
        "p50_ms": percentile(spans, 0.50) * 1000,
        "p99_ms": percentile(spans, 0.99) * 1000,
        "cpu_ms": cpu * 1000 / total,
        "rss_mib": peak / 2**20,
    }


def syncs(kind, root, messages, octets):
    """fsyncs and fdatasyncs a message, counted by strace in a run of its own, whose speed counts for nothing."""
    log = pathlib.Path(root) / "strace.log"
    sink = Sink()
    server = kind(root)
    server.under = ("strace", "-f", "-qq", "-c", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs", "-o", str(log))
    try:
        server.start(sink)
        run(server, sink, messages, octets, True)
    finally:
        # strace passes the signal on and writes its count when the last process ends.
        for pid in sorted(tree(server.pid) if server.process else (), reverse=True):
            if pid != server.pid:
                os.kill(pid, 15)
        server.stop()
        sink.stop()
    rows = [line.split() for line in log.read_text().splitlines()]
    return sum(int(r[3]) for r in rows if r and r[-1] in ("fsync", "fdatasync", "sync_file_range", "syncfs")) / messages
