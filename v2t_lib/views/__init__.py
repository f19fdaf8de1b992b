"""Pictures of captions and attention: heat maps, sheets, animations, pages, widgets, curves.

May import `models` and the packages below it; `panel` and `dataset_browser` need ipywidgets.
Start reading at `heatmap`, then `inspector`.
"""
