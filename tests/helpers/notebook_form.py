"""The one form of a notebook file; `python tests/helpers/notebook_form.py NOTEBOOK...` makes it."""

import json
import os
import sys
from pathlib import Path

#: What running leaves behind that says nothing to a reader.
_TRACES = ("execution", "executionInfo", "outputId", "collapsed", "papermill")


def _lines(text) -> list[str]:
    return "".join(text).splitlines(keepends=True)


def canonical(notebook: dict) -> str:
    """A notebook's JSON: keys sorted, a space of indent, text by lines, no widget state."""
    notebook = json.loads(json.dumps(notebook))
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        cell["source"] = _lines(cell["source"])
        for trace in _TRACES:
            cell["metadata"].pop(trace, None)
        if cell["cell_type"] == "code":
            cell["execution_count"] = None
            cell["outputs"] = _joined(
                [_output(output) for output in cell["outputs"] if _worth_keeping(output)]
            )
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _joined(outputs: list[dict]) -> list[dict]:
    """Outputs with what was printed piece by piece in one piece."""
    joined: list[dict] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output["output_type"] == "stream" == last.get("output_type"):
            last["text"] = _lines([*last["text"], *output["text"]])
        else:
            joined.append(output)
    return joined


def _worth_keeping(output: dict) -> bool:
    # Progress bars and log lines; a widget shows nothing without its kernel.
    widget = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    return output.get("name") != "stderr" and not widget


def _output(output: dict) -> dict:
    output = dict(output)
    if "execution_count" in output:
        output["execution_count"] = None
    output.get("metadata", {}).pop("execution", None)
    # Pictures stay one string: base64 has no lines.
    if "text" in output:
        output["text"] = _lines(output["text"])
    if "data" in output:
        output["data"] = {
            kind: _lines(data) if kind.startswith("text/") else data
            for kind, data in output["data"].items()
        }
    output.pop("transient", None)
    return output


def main(paths: list[str]) -> None:
    """Rewrites notebooks in their canonical form."""
    for path in map(Path, paths):
        text = canonical(json.loads(path.read_text(encoding="utf-8")))
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


if __name__ == "__main__":
    main(sys.argv[1:])
