"""llama-server as the wheel `xllamacpp` has it, behind the program's own options: for machines without the program."""

from __future__ import annotations

import argparse
import os
import sys
import time

OPTIONS = ("--model", "--host", "--port", "--ctx-size", "--parallel", "--threads", "--threads-batch", "--gpu-layers", "--api-key")
FLAGS = ("--kv-unified", "--jinja", "--offline", "--no-ui", "--version")


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for option in OPTIONS:
        parser.add_argument(option)
    for flag in FLAGS:
        parser.add_argument(flag, action="store_true")
    args = parser.parse_args()
    import xllamacpp

    if args.version:
        print(f"version: {xllamacpp.BUILD_INFO}")
        return
    params = xllamacpp.CommonParams()
    params.model.path, params.port, params.api_keys = args.model, int(args.port), [os.environ["LLAMA_API_KEY"]]
    params.n_ctx, params.n_parallel, params.kv_unified = int(args.ctx_size), int(args.parallel), True
    params.cpuparams.n_threads, params.cpuparams_batch.n_threads = int(args.threads), int(args.threads_batch)
    params.use_jinja = True
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        sys.exit(f"error: {error}")
    print("listening", server.listening_address, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
