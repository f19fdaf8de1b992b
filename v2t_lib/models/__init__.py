"""The captioner: encoder, Bahdanau attention, LSTM decoder, and the search for a caption.

May import everything from `fetching` down, and Keras 3 through `keras.ops`.
Start reading at `captioner`, then `decoder` and `attention`.
"""
