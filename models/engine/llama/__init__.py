"""The doorway to llama.cpp: the one room that knows llama-cpp-python, by its low-level API.

Everything here is for one thread. Import it in a worker process only: a native fault ends the process.
"""
