"""What a server is told in its environment, and the headers of its answers."""

LANGUAGES = "CYRENE_SERVED_LANGUAGES"
KEY = "VLLM_API_KEY"
# What a server says of itself to a request whether it is ready: the one that was started, and
# no other that listens on its port.
IDENTITY = "CYRENE_SERVER_ID"
IDENTITY_HEADER = "x-cyrene-server"
# What becomes of a request that offers tools: `IGNORE` or `REFUSE`.
TOOLS = "CYRENE_SERVED_TOOLS"
IGNORE, REFUSE = "ignore", "refuse"
IGNORED_HEADER = "x-cyrene-ignored"
