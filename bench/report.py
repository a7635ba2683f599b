"""Tables for bench/README.md: medians, and every figure as a ratio to Postfix's."""

import pathlib
import platform
import statistics

COLUMNS = [
    ("rate", "end to end, messages/s", "{:,.0f}"),
    ("accept_rate", "accepted, messages/s", "{:,.0f}"),
    ("p50_ms", "accept p50, ms", "{:.1f}"),
    ("p99_ms", "accept p99, ms", "{:.1f}"),
    ("cpu_ms", "CPU, ms a message", "{:.3f}"),
    ("rss_mib", "peak RSS, MiB", "{:,.0f}"),
    ("syncs", "fsyncs a message", "{:.2f}"),
]
BEGIN, END = "<!-- tables: made by bench/run -->\n", "<!-- end of tables -->"


def medians(figures):
    return {key: statistics.median(f[key] for f in figures) for key in figures[0]}


def table(rows):
    """`rows`: name → figures of its rounds."""
    middle = {name: medians(figures) for name, figures in rows.items()}
    base = middle.get("postfix")
    lines = ["| | " + " | ".join(title for _, title, _ in COLUMNS) + " | rate to Postfix's | CPU to Postfix's |"]
    lines.append("|---|" + "---:|" * (len(COLUMNS) + 2))
    for name, figures in middle.items():
        cells = [form.format(figures[key]) if figures.get(key) == figures.get(key, 0) and key in figures else "" for key, _, form in COLUMNS]
        ratio = [f"{figures['rate'] / base['rate']:.1f} ×", f"{figures['cpu_ms'] / base['cpu_ms']:.2f} ×"] if base else ["", ""]
        lines.append(f"| {name} | " + " | ".join(cells + ratio) + " |")
    return "\n".join(lines) + "\n"


def machine():
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown")
    cores = sum(l.startswith("processor") for l in open("/proc/cpuinfo"))
    return f"{cores} cores of {cpu}, Linux {platform.release()}"


def save(text):
    path = pathlib.Path(__file__).parent / "README.md"
    head, rest = path.read_text().split(BEGIN)
    path.write_text(head + BEGIN + text + END + rest.split(END)[1])
