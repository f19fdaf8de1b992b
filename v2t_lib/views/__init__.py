"""Pictures of captions and attention: heat maps, the HTML inspector, the notebook panel, curves.

May import `models` and what lies below; matplotlib and ipywidgets in functions.
Start reading at `heatmap`, then `inspector`.
"""
