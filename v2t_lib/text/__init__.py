"""Words: how a caption becomes tokens for the model and tokens for a score.

May import `specs` and `errors` alone; no TensorFlow, no Keras.
Start reading at `vocabulary`, then `ptb_tokenizer` for the official scores' tokens.
"""
