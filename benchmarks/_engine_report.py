"""What `corpus_engine` found, as Markdown and as a picture."""

import math
from pathlib import Path
from typing import Any

STAGES = ("raw_dialog", "parallel_corpus", "cpt_documents", "sft_chat")
# What a figure is called, and the costs that it is the sum of.
SIDE_BY_SIDE = {
    "ours, all stages": ("everything",),
    "ours, reading, cleaning, rendering and writing alone": ("rendering alone",),
    "ours, all stages and counting tokens": ("everything", "counting"),
    "ours, rendering alone and counting tokens": ("rendering alone", "counting"),
    "theirs without counting tokens": ("beside",),
    "theirs as it is, counting tokens": ("beside, counting",),
}

Result = dict[str, Any]
Costs = dict[str, dict[str, float]]


def report(machine: str, results: list[Result]) -> str:
    """Return everything as a page: growth, then each scale compared with the other builder."""
    parts = [f"# The corpus engine\n\nOn {machine}.", f"## Growth\n\n{growth(results)}"]
    parts += [table(result) for result in results]
    return "\n\n".join(parts) + "\n"


def growth(results: list[Result]) -> str:
    """Return how cost grows with the size, as a Markdown table."""
    names = [*STAGES, "everything"]
    names += ["cyrene build"] * ("cyrene build" in results[0]["costs"])
    lines = [
        f"| scale | texts, MB | rows | {' | '.join(f'{name}, s' for name in names)} | peak, MB |",
        f"|---:|---:|---:|{'---:|' * len(names)}---:|",
    ]
    for result in results:
        costs = result["costs"]
        walls = " | ".join(f"{costs[name]['wall']:.1f}" for name in names)
        lines.append(
            f"| {result['scale']} | {result['text_map_bytes'] / 1e6:,.0f} "
            f"| {result['amounts']['rows']:,} | {walls} | {costs['everything']['peak']:,.0f} |"
        )
    return "\n".join(lines)


def table(result: Result) -> str:
    """Return one scale's costs as Markdown tables."""
    amounts = ", ".join(f"{number:,} {name}" for name, number in result["amounts"].items())
    lines = [
        f"## Scale {result['scale']}: {result['text_map_bytes'] / 1e6:,.0f} MB of texts, {amounts}",
        "",
        "| stage | wall, s | CPU, s | peak, MB |",
        "|---|---:|---:|---:|",
    ]
    for name, cost in result["costs"].items():
        lines.append(f"| {name} | {cost['wall']:.1f} | {cost['cpu']:.1f} | {cost['peak']:,.0f} |")
    return "\n".join([*lines, *before(result), *beside(result)])


def before(result: Result) -> list[str]:
    """Return what the stages cost before, with an earlier revision's code, and in proportion."""
    costs, earlier = result["costs"], result.get("before")
    if earlier is None:
        return []
    lines = [
        "",
        "| stage | wall before, s | CPU before, s | peak before, MB | now: wall, CPU, peak |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in (*STAGES, "everything"):
        old, new = earlier[name], costs[name]
        ratio = " / ".join(f"{new[key] / old[key]:.2f}" for key in ("wall", "cpu", "peak"))
        lines.append(
            f"| {name} | {old['wall']:.1f} | {old['cpu']:.1f} | {old['peak']:,.0f} | {ratio} |"
        )
    return lines


def beside(result: Result) -> list[str]:
    """Return what the other builder costs in proportion to ours, and how fast tokens are counted.

    The last columns are times by which what it costs without and with counting is more.
    """
    costs: Costs = result["costs"]
    if "beside" not in costs:
        return []
    theirs = [costs["beside"], costs["beside, counting"]]
    lines = [
        "",
        "| | wall, s | CPU, s | peak, MB | without counting: wall, CPU, peak | counting |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, parts in SIDE_BY_SIDE.items():
        own = {key: sum(costs[part][key] for part in parts) for key in ("wall", "cpu")}
        own["peak"] = max(costs[part]["peak"] for part in parts)
        times = [
            " / ".join(f"{their[key] / own[key]:.1f}" for key in ("wall", "cpu", "peak"))
            for their in theirs
        ]
        lines.append(
            f"| {name} | {own['wall']:.1f} | {own['cpu']:.1f} | {own['peak']:,.0f} "
            f"| {' | '.join(times)} |"
        )
    tokens, seconds = result["amounts"]["tokens"], costs["counting"]["wall"]
    return [*lines, "", f"Tokens are counted at {tokens / seconds / 1e6:.2f} million a second."]


def draw(results: list[Result], path: Path) -> None:
    """Draw how processor time and peak memory grow with the rows, and n log n next to them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    rows = [result["amounts"]["rows"] for result in results]
    millions = [number / 1e6 for number in rows]
    for axes, key, unit in ((time_axes, "cpu", 1), (memory_axes, "peak", 1000)):
        for stage in (*STAGES, "everything"):
            style = {"marker": "o", "linewidth": 2.5 if stage == "everything" else 1.2}
            values = [result["costs"][stage][key] / unit for result in results]
            axes.plot(millions, values, label=stage, **style)
        compared = [result for result in results if "before" in result]
        values = [result["before"]["everything"][key] / unit for result in compared]
        places = [result["amounts"]["rows"] / 1e6 for result in compared]
        axes.plot(places, values, "--", marker="o", color="grey", label="everything, before")
    first = results[0]["costs"]["everything"]["cpu"] / (rows[0] * math.log(rows[0]))
    growth_of_sorting = [first * number * math.log(number) for number in rows]
    time_axes.plot(millions, growth_of_sorting, ":", color="black", label="n log n")
    for axes, title in ((time_axes, "processor time, s"), (memory_axes, "peak memory, GB")):
        axes.set(
            title=title, xlabel="rows of 13 languages, millions", ylim=(0, None), xlim=(0, None)
        )
        axes.grid(alpha=0.3)
    time_axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
