"""Encoders: one hardware session, its asyncio side, and the software engine."""
