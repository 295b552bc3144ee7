"""Writes a language model of random weights, with tokenizer and chat template, as one GGUF file.

Run by the interpreter that has the packages of requirements-slow.lock: ``python random_model.py FILE``. The same seed
makes the same model. What it says means nothing; that it says the same each time, in words, is all that is asked of it.
"""

from __future__ import annotations

import sys

import numpy as np
from gguf import GGUFWriter, TokenType

SEED = 20128
CONTEXT_TOKENS = 65536
WIDTH = 64
HEADS = 4
INNER = 128
LAYERS = 4

WORDS = (
    "river gate stone lamp harbour winter letter garden signal copper window market silver forest bridge candle "
    "thunder pepper meadow ladder pocket needle saddle timber valley kettle anchor basket ribbon shadow marble "
    'naïve café Ærø smörgås вода 水門 灯 🌊 … ‘quoted’ \\ " {brace} <tag> data: \t'
)
SPECIAL = ("<|start|>", "<|end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
# Every hidden state carries this constant in its first place, so that the output layer can forbid tokens.
CARRIER = 8.0
FORBIDDEN = -1000.0


def byte_letters() -> dict[int, str]:
    """The letter that stands for each byte in a byte-level vocabulary: itself where it is printable."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + at) for at, byte in enumerate(others)}


def vocabulary() -> tuple[list[str], list[str], range]:
    """Tokens (bytes, then words, then special ones), merges, and which of the tokens the model may say."""
    letters = byte_letters()
    tokens = [letters[byte] for byte in range(256)]
    words = ["".join(letters[byte] for byte in f" {word}".encode()) for word in WORDS.split(" ")]
    merges: list[str] = []
    for word in words:
        for end in range(2, len(word) + 1):
            pair, whole = f"{word[: end - 1]} {word[end - 1]}", word[:end]
            if pair not in merges:
                merges.append(pair)
            if whole not in tokens:
                tokens.append(whole)
    # Only whole words are said, so that no character of several bytes is ever cut.
    spoken = [tokens.index(word) for word in words]
    order = [at for at in range(len(tokens)) if at not in spoken] + spoken
    return [tokens[at] for at in order], merges, range(len(tokens) - len(spoken), len(tokens))


def add_vocabulary(writer: GGUFWriter) -> tuple[int, range]:
    """Describe the tokenizer; the number of its tokens and those the model may say."""
    tokens, merges, spoken = vocabulary()
    every = [*tokens, *SPECIAL]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(every)
    writer.add_token_types([TokenType.NORMAL] * len(tokens) + [TokenType.CONTROL] * len(SPECIAL))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(every.index("<|start|>"))
    writer.add_eos_token_id(every.index("<|end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    return len(every), spoken


def add_weights(writer: GGUFWriter, size: int, spoken: range) -> None:
    """Normally distributed weights, but for the carrier."""
    random = np.random.default_rng(SEED)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    embedding = matrix(size, WIDTH) * np.float32(np.sqrt(WIDTH))
    embedding[:, 0] = CARRIER
    writer.add_tensor("token_embd.weight", embedding)
    for layer in range(LAYERS):
        into_attention, into_inner = matrix(WIDTH, WIDTH), matrix(WIDTH, INNER)
        into_attention[0, :] = into_inner[0, :] = 0
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", matrix(WIDTH, WIDTH))
        writer.add_tensor(f"blk.{layer}.attn_output.weight", into_attention)
        writer.add_tensor(f"blk.{layer}.ffn_norm.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor(f"blk.{layer}.ffn_gate.weight", matrix(INNER, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_up.weight", matrix(INNER, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", into_inner)
    output = matrix(size, WIDTH) * np.float32(np.sqrt(WIDTH))
    # Left to chance, two words would soon follow one another for ever: each is drawn to one before it, in a random round.
    round_ = random.permutation(spoken)
    output[round_] += embedding[np.roll(round_, 1)]
    output[:, 0] = FORBIDDEN
    output[spoken.start : spoken.stop, 0] = 0
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("output.weight", output)


def write(path: str) -> None:
    """The whole model as the file at ``path``."""
    writer = GGUFWriter(path, "llama")
    writer.add_name("random words")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    size, spoken = add_vocabulary(writer)
    writer.add_vocab_size(size)
    add_weights(writer, size, spoken)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1])
