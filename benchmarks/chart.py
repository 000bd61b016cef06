"""The table as a picture."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.rows import PEERS, Outcome, Row, is_missed

COLOURS = {"ours": "#1f6feb", "ollama": "#8c959f", "openai": "#424a53"}
NAMES = {"ours": "langchain-darkai", "ollama": "langchain-ollama", "openai": "langchain-openai"}


def draw(outcomes: Mapping[Row, Outcome], path: Path) -> None:
    """Draw the chart into `path` with the endings .png and .svg."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    contests = [row for row in outcomes if row.targets.keys() & PEERS.keys()]
    others = [row for row in outcomes if row not in contests and "bare" in row.targets]
    mpl.rcParams.update({"font.size": 10, "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12.5, 6.4), width_ratios=(1.9, 1), layout="constrained", facecolor="white"
    )

    height = 0.27
    for place, row in enumerate(contests):
        ratios = outcomes[row].ratios
        times = {"ours": ratios["bare"], **{name: ratios[name] * ratios["bare"] for name in PEERS if name in ratios}}
        for offset, (name, colour) in enumerate(COLOURS.items()):
            if name in times:
                y = place + (offset - 1) * height
                left.barh(y, times[name] - 0.5, height * 0.92, left=0.5, color=colour)
                left.text(
                    max(times[name], 1) * 1.05, y, f"{times[name]:.3g} x", va="center", fontsize=8.5, color=colour
                )
    left.set_xscale("log")
    left.set_xlim(0.5, 150)
    left.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1 x", "2 x", "5 x", "10 x", "20 x", "50 x", "100 x"])
    left.minorticks_off()
    left.axvline(1, color="#d1242f", linewidth=1.2)
    left.text(1, -0.62, " bare aiohttp client", color="#d1242f", fontsize=8.5, va="center")
    left.set_yticks(range(len(contests)), [f"{row.title}\n({_clock(row)})" for row in contests])
    left.set_ylim(len(contests) - 0.5, -0.8)
    left.set_title("The same reply, the time it takes (less is better)", loc="left", fontweight="bold")
    handles = [Patch(color=colour, label=NAMES[name]) for name, colour in COLOURS.items()]
    left.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.05), ncols=3, frameon=False)

    for place, row in enumerate(others):
        ratio, target = outcomes[row].ratios["bare"], row.targets["bare"]
        missed = is_missed("bare", ratio, target)
        right.barh(place, ratio, 0.5, color="#d1242f" if missed else COLOURS["ours"])
        right.text(0.03, place, f"{ratio:.2f} x", va="center", color="white", fontsize=9)
        right.plot([target, target], [place - 0.36, place + 0.36], color="black", linewidth=1.5)
        right.text(target, place - 0.45, f"{target:g}", ha="center", fontsize=8)
    right.set_yticks(range(len(others)), [row.title for row in others])
    right.set_ylim(len(others) - 0.5, -0.8)
    right.set_xlim(0, 2)  # a bar that is longer is red, and has its number
    right.set_title("Growth, and its limits", loc="left", fontweight="bold")
    for kind in ("png", "svg"):
        figure.savefig(path.with_suffix(f".{kind}"), dpi=144, metadata={"Date": None} if kind == "svg" else None)
    plt.close(figure)


def _clock(row: Row) -> str:
    return "client's CPU time" if row.clock == "CPU" else "wall time"
