"""Clicks on a button that wait while a cell runs: a kernel handles them only after the cell."""

import contextlib
import json

import ipywidgets as widgets

#: Where the frames of a message begin, after the addresses: signature, header, parent, metadata,
#: content follow.
_DELIMITER = b"<IDS|MSG>"


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def clicks_arrive() -> bool:
    """Whether a click can be noticed while a cell runs: ipykernel 7 hands it over only after it."""
    from IPython import get_ipython

    return hasattr(getattr(get_ipython(), "kernel", None), "msg_queue")


def click_waits(button: widgets.Button) -> bool:
    """Whether a click on `button` waits for the cell that is running to end.

    Messages from the page are only read here: all stay in their queue, in order, for the kernel to
    handle after the cell.

    Args:
        button: A button that is displayed.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    queue, stream = getattr(kernel, "msg_queue", None), getattr(kernel, "shell_stream", None)
    if queue is None or stream is None or button.comm is None:
        return False
    stream.flush()  # from the socket to the queue
    found = False
    for _ in range(queue.qsize()):
        item = queue.get_nowait()
        queue.put_nowait(item)
        found = found or _is_click(item[2], button.comm.comm_id)
    return found


def _is_click(arguments: tuple, comm_id: str) -> bool:
    """Whether the arguments of a queued call are a message that a widget was clicked."""
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
        frames = [bytes(getattr(frame, "buffer", frame)) for frame in arguments[0]]
        start = frames.index(_DELIMITER)
        header, content = json.loads(frames[start + 2]), json.loads(frames[start + 5])
        event = content["data"].get("content", {}).get("event")
        return (
            header["msg_type"] == "comm_msg" and content["comm_id"] == comm_id and event == "click"
        )
    return False
