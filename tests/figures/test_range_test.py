from resnet_lab.figures.range_test import rate_figure


def test_the_figure_shows_what_was_measured():
    figure = rate_figure([1e-4, 1e-3, 1e-2], [2.3, 2.0, 90.0], [2.3, 2.1, 30.0], 1e-4)
    assert [list(line.y) for line in figure.data] == [[2.3, 2.0, 90.0], [2.3, 2.1, 30.0]]
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.shapes[0].x0 == 1e-4
    assert figure.layout.yaxis.range[1] < 3  # what breaks at the end does not press the rest flat
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (
        "learning rate",
        "loss (nats)",
    )


def test_nothing_measured_and_nothing_proposed():
    assert not rate_figure([], [], [], None).layout.shapes
