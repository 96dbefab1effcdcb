"""The way in: `streamlit run app.py`."""

from resnet_lab.ui.common import navigation

if __name__ == "__main__":  # run for each visitor
    navigation.run()
else:  # imported once by the server
    import streamlit as st

    from resnet_lab.ui.common.server import door, lifespan, routes

    app = st.App(__file__, middleware=[door()], routes=routes(), lifespan=lifespan)
