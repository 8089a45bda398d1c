"""tallow.Tokenizer beside Hugging Face's `tokenizers`, in one process, through the Python package
of each: bench/tokenizer.py [FOLDER...] [--threads 1 2] [--megabytes 2].

FOLDER holds a tokenizer.json; without any, those of build/tokenizers that the tests fetch. Rows:
one long text on one thread, a batch of short texts on each number of threads, decoding, and opening
the file. Megabytes a second of both and their ratio; the two take turns, and the best run counts."""

import argparse
import ast
import os
import random
import sysconfig
import time
from pathlib import Path

import tallow
from tallow.models import Tokenizer

DEFAULT = ("gpt2", "llama3_1", "qwen2_5", "gpt4o", "deepseek_v3", "llama2", "gemma3", "minilm")
# Common words of Chinese, the most frequent first; a text takes them by Zipf's law.
CHINESE = ("的 了 在 是 我 不 人 他 有 这 上 们 来 到 时候 大家 地方 为了 自己 说话 就是 那么 要求 下面 中国 "
           "出来 学生 对于 可以 工作 世界 发展 社会 经济 问题 因为 所以 没有 什么 现在 知道 开始 国家 人民 生活 "
           "时间 技术 研究 系统 信息 数据 方法 结果 能够 需要 进行 通过 重要 不同 主要 关系 情况 活动 建设 文化 "
           "教育 科学 历史 语言 模型 训练 计算 机器 学习 网络 分析 设计 管理 服务 市场 企业 产品 质量 提高 影响 "
           "北京 上海 电影 音乐 朋友 孩子 老师 医院 天气 春天 飞机 火车 城市 农村 环境 保护 健康 食物 水果 茶叶").split()


def sources():
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return [f.read_text(encoding="utf-8", errors="replace") for f in files]


def english(size):
    """The documentation strings of Python's library, over and over."""
    parts = []
    for source in sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                parts.append(" ".join((ast.get_docstring(node) or "").split()))
    return filled("\n".join(p for p in parts if len(p) > 80), size)


def code(size):
    return filled("\n".join(sources()), size)


def chinese(size):
    rng = random.Random(1)
    weights = [1 / (i + 3) for i in range(len(CHINESE))]
    words = rng.choices(CHINESE, weights, k=size // 4)
    return filled("".join(w + rng.choices("，。 \n", [8, 4, 0, 1])[0] * (rng.random() < 0.15)
                          for w in words), size)


def filled(text, size):
    data = text.encode()
    return (data * (size // len(data) + 1))[:size].decode(errors="ignore")


def best_of(functions, seconds=1.0):
    """The best time of each, which take turns."""
    best, start = [float("inf")] * len(functions), time.perf_counter()
    while time.perf_counter() - start < seconds or max(best) == float("inf"):
        for i, f in enumerate(functions):
            begin = time.perf_counter()
            f()
            best[i] = min(best[i], time.perf_counter() - begin)
    return best


def row(name, what, ours, theirs, size=None):
    a, b = best_of([ours, theirs])
    unit = f"{size / a / 1e6:8.1f} {size / b / 1e6:8.1f} MB/s" if size else \
        f"{a * 1e3:8.1f} {b * 1e3:8.1f} ms  "
    print(f"{name:14} {what:24} {unit} {b / a:7.1f}x", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--megabytes", type=float, default=1.0)
    args = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(max(args.threads))
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    import tokenizers

    size = int(args.megabytes * 1e6)
    texts = {"English": english(size), "code": code(size), "Chinese": chinese(size)}
    root = Path(__file__).resolve().parents[1] / "build/tokenizers"
    folders = args.folders or [str(root / name) for name in DEFAULT if (root / name).exists()]
    print(f"{'':39} {'tallow':>8} {'peer':>8} {'':5} {'ratio':>7}")
    for folder in folders:
        file, name = f"{folder}/tokenizer.json", Path(folder).name
        ours, theirs = Tokenizer.from_file(file), tokenizers.Tokenizer.from_file(file)
        for t in (ours, theirs):
            t.no_truncation(), t.no_padding()
        for kind, text in texts.items():
            bytes_ = len(text.encode())
            tallow.set_num_threads(1)
            row(name, f"{kind}, one text", lambda t=text: ours.encode(t).ids,
                lambda t=text: theirs.encode(t).ids, bytes_)
            batch = [text[i:i + 500] for i in range(0, len(text), 500)]
            for threads in args.threads:
                tallow.set_num_threads(threads)
                os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
                row(name, f"{kind}, batch, {threads} thread{'s'[:threads > 1]}",
                    lambda b=batch: [e.ids for e in ours.encode_batch(b)],
                    lambda b=batch: [e.ids for e in theirs.encode_batch(b)], bytes_)
        ids = [ours.encode(texts["English"]).ids]
        row(name, "decode", lambda: ours.decode_batch(ids), lambda: theirs.decode_batch(ids), size)
        row(name, "open", lambda: Tokenizer.from_file(file),
            lambda: tokenizers.Tokenizer.from_file(file))


if __name__ == "__main__":
    main()
