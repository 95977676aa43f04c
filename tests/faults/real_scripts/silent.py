"""Does all its work and reports nothing of it."""

for epoch in range(1, 4):
    print("epoch", epoch, "is done", flush=True)
