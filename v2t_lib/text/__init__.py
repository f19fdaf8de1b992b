"""Text: how a caption becomes words and tokens for the model, and words for the scores.

May import `captions_file`, `specs`, `errors` and `files`; no TensorFlow, no Keras.
Start reading at `vocabulary`; `ptb_tokenizer` has the words of the official scorers.
"""
