"""A reader with every fault that there is to find; a process of its own has to import it."""

import os
import time


def read(case, _folder):
    match case:
        case "raises":
            raise KeyError(case)
        case "refuses":
            raise ValueError("It is refused.")
        case "refuses at length":
            raise ValueError("x" * 5000)
        case "refuses in surrogates":
            raise ValueError("\ud800")
        case "takes memory":
            bytearray(600 << 20)
        case "asks for all memory":
            bytearray(1 << 40)
        case "is slow":
            end = time.process_time() + 2.1
            while time.process_time() < end:
                pass
        case "dies":
            os._exit(1)
        case "hangs":
            time.sleep(60)
