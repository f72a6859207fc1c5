"""What stands on a panel of the language experiment's figures."""


def names(axis):
    return [text.get_text() for text in axis.get_yticklabels()]


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def marked(axis, marker, face=None):
    """x and y of the points that have a marker, from top to bottom."""
    points = [
        (float(x), float(y))
        for line in axis.lines
        if line.get_marker() == marker and face in (None, line.get_markerfacecolor())
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
    return sorted(points, key=lambda point: point[1])


def scored(table):
    """Each model has a scorer of its own."""
    return table.assign(scorer=table["model"].map({"small": "words", "published": "tfidf"}))
