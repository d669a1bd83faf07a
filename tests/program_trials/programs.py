"""A real training program of other people's kind: argparse, its own seeds, and printed losses."""

REGRESSION = """
import argparse, math, random

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--dropout", type=float, default=0.0)
args = parser.parse_args()

random.seed(1337)
WIDTH = 8
truth = [math.sin(3 * i) for i in range(WIDTH)]

def example():
    x = [random.gauss(0, 1) for _ in range(WIDTH)]
    return x, sum(a * b for a, b in zip(x, truth)) + random.gauss(0, 0.5)

weights = [0.0] * WIDTH
validation = [example() for _ in range(200)]

def predict(x):
    return sum(a * b for a, b in zip(x, weights))

for step in range(1, args.steps + 1):
    gradient = [0.0] * WIDTH
    for _ in range(args.batch_size):
        x, y = example()
        x = [a * (random.random() >= args.dropout) for a in x]
        error = predict(x) - y
        gradient = [g + error * a / args.batch_size for g, a in zip(gradient, x)]
    decay = 1 - step / args.steps
    weights = [w - args.lr * decay * g for w, g in zip(weights, gradient)]
    if step % 100 == 0 or step == args.steps:
        loss = sum((predict(x) - y) ** 2 for x, y in validation) / len(validation)
        print(f"step {step}: train loss 0.0, val loss {loss:.4f}")
open("weights.txt", "w").write(repr(weights))
"""

WRITES_FILES = """
import pathlib

run = pathlib.Path("runs/first")
run.mkdir(parents=True)
(run / "events.jsonl").write_text('{"step":1,"val_loss":2.0}\\n{"step":2,"val_loss":1.5}\\n')
pathlib.Path("metrics.csv").write_text("step,val_loss\\n1,2.0\\n2,1.25\\n")
"""

NOISY = """
import argparse, random

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--steps", type=int, default=9)
parser.add_argument("--strict", action="store_true")
args = parser.parse_args()

random.seed(1337)
if args.strict and args.lr != 0.1:
    raise SystemExit("this rate is not supported")
noise = random.Random(f"{random.random()} {args.lr}").gauss(0, 0.2)  # a rate has no effect
print(f"val loss {2 + noise}")
"""
