"""Pictures of captions and attention: heat maps, sheets, animations, inspector, panel, curves.

May import `models` and the packages below it; `panel` needs ipywidgets.
Start reading at `heatmap`, then `inspector`.
"""
