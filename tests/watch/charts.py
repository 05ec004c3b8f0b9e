"""Draws the panels of a dashboard with what the database answers, as one SVG picture: no Grafana runs in tests."""

from collections import defaultdict
from datetime import timedelta
from html import escape

CELL_W, CELL_H, PAD, TITLE = 50, 32, 10, 22
COLOURS = ("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0", "#508642", "#cca300")
STATES = {
    "N": "#56a64b",
    "F": "#1f60c4",
    "M": "#e0b400",
    "S": "#8f3bb8",
    "D": "#e02f44",
    "C": "#f2cc0c",
    "T": "#ff780a",
    "B": "#8a0f1c",
}
FONT = 'font-family="WenQuanYi Zen Hei, Noto Sans CJK SC, sans-serif"'
TABLE_ROWS, TABLE_COLUMNS, LEGEND = 9, 9, 6
HIGH = ("red", "orange", "green", "text")


def draw(dashboard, answers):
    """Draw all panels; `answers` are rows by the title of a panel."""
    panels = [panel for panel in dashboard["panels"] if panel["type"] == "row" or panel["title"] in answers]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * CELL_H
    drawn = "".join(_draw_panel(panel, answers.get(panel["title"])) for panel in panels)
    size = f'width="{24 * CELL_W}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="#f4f5f5"/>{drawn}</svg>\n'


def _draw_panel(panel, rows):
    place = panel["gridPos"]
    x, y, w, h = (place[key] * CELL for key, CELL in (("x", CELL_W), ("y", CELL_H), ("w", CELL_W), ("h", CELL_H)))
    if panel["type"] == "row":
        return _text(x + PAD, y + 22, panel["title"], 15, "#333", weight="bold")
    inside = (w - 2 * PAD, h - TITLE - 2 * PAD)
    draw_it = {"stat": _stat, "table": _table, "timeseries": _series, "state-timeline": _states}[panel["type"]]
    frame = f'<rect x="3" y="3" width="{w - 6}" height="{h - 6}" fill="white" stroke="#ddd"/>'
    body = f'<g transform="translate({PAD},{TITLE + PAD})">{draw_it(panel, rows, *inside)}</g>'
    return f'<g transform="translate({x},{y})">{frame}{_text(PAD, 20, panel["title"], 13, "#222")}{body}</g>'


def _text(x, y, text, size=11, colour="#555", *, weight="normal"):
    return f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" font-weight="{weight}" fill="{colour}">{escape(str(text))}</text>'


def show(value, unit=""):
    """Write a value as a panel does, about."""
    if value is None:
        return "-"
    if unit == "percentunit":
        return f"{value * 100:.2f} %"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:%m-%d %H:%M}" if hasattr(value, "hour") else str(value)


def cut(text, letters):
    """Shorten a text to the room it has; a Chinese letter takes that of two."""
    while sum(1 + (letter > "\u2e80") for letter in text) > letters:
        text = text[:-1]
    return text


def _colour(panel, value):
    chosen = "text"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or (value is not None and value >= step["value"]):
            chosen = step["color"]
    return "#333" if chosen == "text" else chosen


def _stat(panel, rows, w, h):
    fields = list(rows[0].items())
    unit, share = panel["fieldConfig"]["defaults"]["unit"], w / len(fields)
    parts = []
    for place, (name, value) in enumerate(fields):
        parts.append(_text(place * share, 14, name, 11))
        parts.append(_text(place * share, 48, show(value, unit), 26, _colour(panel, value)))
    return "".join(parts)


def _overridden(panel, what):
    """What a panel says of single columns, by their names."""
    return {
        field["matcher"]["options"]: each["value"]
        for field in panel["fieldConfig"]["overrides"]
        for each in field["properties"]
        if each["id"] == what
    }


def _table(panel, rows, w, h):
    if not rows:
        return _text(0, 20, "no rows")
    names = list(rows[0].keys())[:TABLE_COLUMNS]
    heads, units = _overridden(panel, "displayName"), _overridden(panel, "unit")
    share, letters = w / len(names), int(w / len(names) / 7.5)
    parts = [
        _text(place * share, 12, cut(heads.get(name, name), letters), 11, "#222", weight="bold")
        for place, name in enumerate(names)
    ]
    for line, row in enumerate(rows[: min(TABLE_ROWS, int(h / 20) - 1)], 1):
        for place, name in enumerate(names):
            shown = cut(show(row[name], units.get(name, "")), letters)
            parts.append(_text(place * share, 12 + 20 * line, shown, 11))
    return "".join(parts)


def read_series(rows):
    """Rows of a panel over time as lists of (time, value) by name: a column names the series, or every column is one."""
    series = defaultdict(list)
    for row in rows:
        if "metric" in row.keys():  # noqa: SIM118 - a record is no mapping
            series[row["metric"]].append((row["time"], row["value"]))
        else:
            for name, value in row.items():
                if name != "time":
                    series[name].append((row["time"], value))
    return series


def _axes(series, h, w, unit, top):
    times = [moment for points in series.values() for moment, _ in points]
    first, last = min(times), max(times)
    span = max(last - first, timedelta(seconds=1))
    marks = "".join(_text(n * (w - 60) / 4, h, show(first + n * span / 4), 10) for n in range(5))
    bounds = "" if top is None else _text(0, 10, show(top, unit), 10)
    return first, span, marks + bounds


def _series(panel, rows, w, h):
    series = read_series(rows)
    if panel["fieldConfig"]["defaults"]["custom"].get("drawStyle") == "bars":
        return _bars(panel, series, w, h)
    values = [value for points in series.values() for _, value in points if value is not None]
    low, top = min(values), max(values)
    room = (top - low) or 1.0
    unit, plot = panel["fieldConfig"]["defaults"]["unit"], h - 36
    first, span, drawn = _axes(series, h - 18, w, unit, top)
    parts = [drawn, _text(0, plot, show(low, unit), 10)]
    for place, (name, points) in enumerate(series.items()):
        colour = COLOURS[place % len(COLOURS)]
        path = " ".join(
            f"{(moment - first) / span * (w - 60) + 45:.1f},{plot - (value - low) / room * (plot - 12):.1f}"
            for moment, value in points if value is not None
        )  # fmt: skip
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        if place < LEGEND:
            parts.append(_text(place * w / LEGEND, h - 2, f"— {name}", 10, colour))
    return "".join(parts)


def _bars(panel, series, w, h):
    totals = defaultdict(float)
    for points in series.values():
        for moment, value in points:
            totals[moment] += value
    top, plot, width = max(totals.values()), h - 36, (w - 60) / (len(totals) + 1)
    first, span, drawn = _axes(series, h - 18, w, "", top)
    parts, base = [drawn], defaultdict(float)
    for place, (name, points) in enumerate(series.items()):
        colour = COLOURS[place % len(COLOURS)]
        for moment, value in points:
            x, tall = (moment - first) / span * (w - 60 - width) + 45, value / top * (plot - 12)
            at = plot - base[moment] - tall
            parts.append(
                f'<rect x="{x:.1f}" y="{at:.1f}" width="{width * 0.8:.1f}" height="{tall:.1f}" fill="{colour}"/>'
            )
            base[moment] += tall
        parts.append(_text(place * w / LEGEND, h - 2, f"■ {name}", 10, colour))
    return "".join(parts)


def _states(panel, rows, w, h):
    series = read_series(rows)
    first, span, drawn = _axes(series, h - 4, w, "", None)
    tall, parts = (h - 24) / len(series), [drawn]
    for line, (name, points) in enumerate(series.items()):
        parts.append(_text(0, line * tall + tall * 0.7, name[:10], 10))
        for moment, value in points:
            x = (moment - first) / span * (w - 110) + 90
            box = f'x="{x:.1f}" y="{line * tall:.1f}" width="{w / 60:.1f}" height="{tall * 0.85:.1f}"'
            parts.append(f'<rect {box} fill="{STATES.get(value, "#999")}"/>')
    return "".join(parts)
