"""A load generator that is not itself the bottleneck: frames prebuilt, several processes, bounded memory."""
