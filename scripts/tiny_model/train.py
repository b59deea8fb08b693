"""Make the tiny model: tokenizer, weights and chat template, from a seed.

Run it with the Python of `.vllm`, which has torch and transformers; README.md tells more.
"""

import argparse
import ctypes
import json
import math
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from data import Example
from formats import FORMATS, Format
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
END, PAD = "<|im_end|>", "<|endoftext|>"
MARKERS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
THINK = ("<think>", "</think>")
VOCABULARY = 700
HIDDEN, LAYERS, HEADS, HEAD = 128, 4, 4, 32

MUON_RATE, ADAMW_RATE = 4e-3, 3e-3
# Of all steps, those before the rate falls, and those with examples of nothing but copying.
LEVEL, COPYING = 0.3, 0.07
# About so many tokens of a batch are answers.
ANSWER_TOKENS = 2000

# A digit, a word and each other character are tokens of their own, wherever they stand: copying is
# then copying tokens. The pairs are the frequent ones of JSON; as none of them begins with what may
# end an object, an object's tokens do not depend on what follows it.
PIECES = r'\{"|":|",|"\}|\p{L}+|\p{N}|\s|.'


def make_tokenizer(form: Format, seed: int) -> PreTrainedTokenizerFast:
    """Train the tokenizer on examples."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [PAD, "<|im_start|>", END]
    added = len(special) + len(MARKERS) + len(THINK)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - added,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    generator = form.generator(seed)
    examples = [generator.mixed() for _ in range(5000)]
    texts = [text for e in examples for text in (render(e, form), form.answer(e))]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in (*MARKERS, *THINK)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def make_model(seed: int, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama whose first two layers begin as induction heads."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=2048,
        attention_bias=True,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        _initialize(model)
    return model


def _initialize(model: LlamaForCausalLM) -> None:
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=HIDDEN**-0.5)
    for layer in model.model.layers:
        for name, weight in layer.named_parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
                if "o_proj" in name or "down_proj" in name:
                    weight.mul_(0.3)
    first, second = (layer.self_attn for layer in model.model.layers[:2])
    half = HEAD // 2
    frequency = 1e6 ** (-torch.arange(half) / half)
    heads = [slice(head * HEAD, (head + 1) * HEAD) for head in range(HEADS)]
    # What heads tell each other about a token is its sketch, each at a place of its own.
    sketch = _orthonormal()[:HEAD]
    places = _orthonormal().split(HEAD)
    # Layer 0: head h looks h tokens back and writes the sketch of what is there.
    for back, rows in enumerate(heads):
        for projection in (first.q_proj, first.k_proj):
            projection.weight[rows] *= 0.05
        angle = back * frequency
        first.k_proj.bias[rows] = 9 * torch.cat([torch.ones(half), torch.zeros(half)])
        first.q_proj.bias[rows] = 9 * torch.cat([angle.cos(), -angle.sin()])
        first.v_proj.weight[rows] = 2 * sketch
        first.o_proj.weight[:, rows] = 0.09 * places[back].T
    # Layer 1: looks for where the last tokens (one, one, two, three) stood before, and writes what
    # followed them. The match is in the slow dimensions, which some hundred tokens hardly turn.
    slow = [i for i in range(HEAD) if frequency[i % half] < 1 / 200]
    for tokens, rows in zip((1, 1, 2, 3), heads, strict=True):
        query, key = torch.zeros(HEAD, HIDDEN), torch.zeros(HEAD, HIDDEN)
        for number, i in enumerate(slow):
            back = number % tokens
            query[i], key[i] = places[back][i], places[back + 1][i]
        second.q_proj.weight[rows] = 0.05 * second.q_proj.weight[rows] + 2.5 * query
        second.k_proj.weight[rows] = 0.05 * second.k_proj.weight[rows] + 2.5 * key
        second.v_proj.weight[rows] = places[0]
        second.o_proj.weight[:, rows] = 0.3 * sketch.T


def _orthonormal() -> torch.Tensor:
    return torch.linalg.qr(torch.randn(HIDDEN, HIDDEN)).Q


# Rows and length of a batch: few shapes, as each is compiled once, and all of the same size.
SHAPES = ((56, 112), (36, 176), (24, 256), (14, 448))


class Batches:
    """Batches of examples: token ids, and which of them are answers."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, form: Format, seed: int) -> None:
        """Draw examples from a seed."""
        self.tokenizer = tokenizer
        self.format = form
        self._generator = form.generator(seed)
        self._random = random.Random(seed)
        self._waiting: list[list[tuple[list[int], int]]] = [[] for _ in SHAPES]

    def draw(self, copying: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The next batch, with so much of nothing but copying in what is drawn for it."""
        while True:
            for (rows, length), waiting in zip(SHAPES, self._waiting, strict=True):
                if len(waiting) >= rows:
                    batch = [waiting.pop() for _ in range(rows)]
                    return pad(batch, length, self.tokenizer.pad_token_id)
            examples = [
                self._generator.copying()
                if self._random.random() < copying
                else self._generator.mixed()
                for _ in range(64)
            ]
            for ids, prompt in encode(self.tokenizer, self.format, examples):
                for (_, length), waiting in zip(SHAPES, self._waiting, strict=True):
                    if len(ids) <= length:
                        waiting.append((ids, prompt))
                        break


def pad(
    rows: list[tuple[list[int], int]], length: int, padding: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids, and the ids to predict at each place or -100."""
    inputs = torch.full((len(rows), length), padding)
    labels = torch.full((len(rows), length), -100)
    for row, (ids, prompt) in enumerate(rows):
        inputs[row, : len(ids)] = torch.tensor(ids)
        labels[row, prompt - 1 : len(ids) - 1] = torch.tensor(ids[prompt:])
    return inputs, labels


def encode(
    tokenizer: PreTrainedTokenizerFast, form: Format, examples: list[Example]
) -> list[tuple[list[int], int]]:
    """Token ids of each prompt with its answer, and the length of the prompt."""
    prompts = [render(example, form) for example in examples]
    answers = [form.answer(example) + END for example in examples]
    ids = [e.ids for e in tokenizer.backend_tokenizer.encode_batch(prompts + answers)]
    return [
        (p + a, len(p)) for p, a in zip(ids[: len(examples)], ids[len(examples) :], strict=True)
    ]


def render(example: Example, form: Format) -> str:
    """The prompt, as the chat template writes it; that they agree is checked once per run."""
    parts = []
    system = "".join(m["content"] + "\n" for m in example.messages if m["role"] == "system")
    lines = [
        f"{t['function']['name']}({', '.join(t['function']['parameters']['properties'])})\n"
        for t in example.tools
    ]
    if system or lines:
        parts.append(f"<|im_start|>system\n{system}{''.join(lines)}{END}\n")
    last = ""
    for message in example.messages:
        role = message["role"]
        if role == "tool":
            if last != "tool":
                parts.append("<|im_start|>user\n")
            parts.append(f"<tool_response>\n{message['content']}\n</tool_response>\n")
        elif role != "system":
            if last == "tool":
                parts.append(f"{END}\n")
            functions = [call["function"] for call in message.get("tool_calls", ())]
            calls = form.calls(
                (one["name"], json.dumps(one["arguments"], ensure_ascii=False)) for one in functions
            )
            parts.append(f"<|im_start|>{role}\n{message['content']}{calls}{END}\n")
        last = role
    if last == "tool":
        parts.append(f"{END}\n")
    parts.append("<|im_start|>assistant\n<think>\n")
    if example.thought is None:
        parts.append("\n</think>\n\n")
    return "".join(parts)


@torch.no_grad()
def right_answers(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    form: Format,
    examples: list[Example],
) -> list[bool]:
    """Which examples are answered exactly right, at temperature 0.

    They are if each token is the likeliest one behind the prompt and those before it.
    """
    right = []
    encoded = encode(tokenizer, form, examples)
    for start in range(0, len(encoded), 20):
        rows = encoded[start : start + 20]
        inputs, labels = pad(rows, max(len(ids) for ids, _ in rows), tokenizer.pad_token_id)
        likeliest = model(inputs).logits.argmax(-1)
        right += ((likeliest == labels) | (labels == -100)).all(1).tolist()
    return right


def evaluate(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, form: Format, count: int
) -> dict[str, float]:
    """By kind, the share of held-out examples that are answered exactly right."""
    generator = form.generator(7, evaluate=True)
    shares = {}
    for kind in generator.weights:
        examples = [generator.of_kind(kind) for _ in range(count)]
        shares[kind] = sum(right_answers(model, tokenizer, form, examples)) / count
    return shares


def train(model: LlamaForCausalLM, batches: Batches, *, steps: int, copying: float) -> None:
    """Train with Muon for the matrices and AdamW for the rest."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    muon = torch.optim.Muon(
        matrices, lr=MUON_RATE, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
    )
    adamw = torch.optim.AdamW(others, lr=ADAMW_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, _rate(steps)) for o in (muon, adamw)]
    forward = torch.compile(model.model, dynamic=False)
    began, losses = time.monotonic(), []
    for step in range(1, steps + 1):
        inputs, labels = batches.draw(copying=max(0, 1 - step / steps / copying) if copying else 0)
        wanted = labels != -100  # what cross_entropy ignores
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model.lm_head(forward(inputs).last_hidden_state[wanted])
        loss = functional.cross_entropy(logits.float(), labels[wanted], reduction="sum")
        # Not the mean of the batch: a token of a short answer counts like one of a long answer.
        (loss / ANSWER_TOKENS).backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer, schedule in zip((muon, adamw), schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        losses.append(loss.item() / int(wanted.sum()))
        if step % 50 == 0:
            seconds = time.monotonic() - began
            print(f"{step:5} {seconds:6.0f} s  loss {sum(losses[-50:]) / 50:.4f}", flush=True)
        if step % 300 == 0:
            shares = evaluate(model, batches.tokenizer, batches.format, 20)
            print("      " + ", ".join(f"{kind} {s:.0%}" for kind, s in shares.items()), flush=True)


def _rate(steps: int) -> Callable[[int], float]:
    """Up in 40 steps, then level, then down along a cosine."""

    def rate(step: int) -> float:
        falling = max(0.0, (step / steps - LEVEL) / (1 - LEVEL))
        return min(1.0, (step + 1) / 40) * (0.5 + 0.5 * math.cos(math.pi * falling))

    return rate


def check_template(tokenizer: PreTrainedTokenizerFast, form: Format, seed: int) -> None:
    """See that `render`, which is fast, writes what the chat template writes."""
    generator = form.generator(seed)
    for example in (generator.mixed() for _ in range(500)):
        rendered = tokenizer.apply_chat_template(
            example.messages,
            tools=example.tools or None,
            add_generation_prompt=True,
            enable_thinking=example.thought is not None,
            tokenize=False,
        )
        if rendered != (expected := render(example, form)):
            msg = f"the chat template writes {rendered!r}, training has {expected!r}"
            raise AssertionError(msg)


def template(name: str) -> str:
    """The chat template of a format."""
    return f"{{%- set format = {name!r} -%}}\n{TEMPLATE.read_text()}"


def load(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Read a model back."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, output: Path) -> None:
    """Write the model as vLLM reads it."""
    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)


def main() -> None:
    """Train and evaluate, or only evaluate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path, help="the model's folder")
    parser.add_argument("--format", choices=FORMATS, default="hermes", help="how calls are written")
    parser.add_argument("--start", type=Path, help="a model's folder to start from, not from noise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--evaluate", action="store_true", help="do not train, read the folder")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    _keep_memory()
    form: Format = FORMATS[arguments.format]
    if not arguments.evaluate:
        if arguments.start:
            model, tokenizer = load(arguments.start)
        else:
            tokenizer = make_tokenizer(form, arguments.seed)
            model = make_model(arguments.seed, tokenizer)
        tokenizer.chat_template = template(arguments.format)
        check_template(tokenizer, form, arguments.seed)
        batches = Batches(tokenizer, form, arguments.seed)
        copying = 0 if arguments.start else COPYING
        train(model, batches, steps=arguments.steps or form.steps, copying=copying)
        # Half the size on disk; what is evaluated is what was rounded.
        save(model.half(), tokenizer, arguments.output)
    model, tokenizer = load(arguments.output)
    print("| held-out examples of | exactly right |\n| --- | ---: |")
    for kind, share in evaluate(model, tokenizer, form, 200).items():
        print(f"| {kind} | {share:.1%} |", flush=True)


def _keep_memory() -> None:
    """Keep glibc from giving large tensors back to the system after each use; a third faster."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        trim_threshold, mmap_threshold = -1, -3
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 1 << 30)


if __name__ == "__main__":
    main()
