"""What holds for the tests of all packages."""

import signal

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit that; tests
# that send it to them would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
