"""Python's smtplib against a submission server: python3 smtplib_submission.py STARTTLS_PORT TLS_PORT USER PASSWORD FROM

Each line of output is a check that held; the first that does not ends the run.
"""

import smtplib
import ssl
import sys
from email.message import EmailMessage
from email.policy import SMTP

starttls_port, tls_port, user, password, sender = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


def connect(over):
    if over == "tls":
        return smtplib.SMTP_SSL("127.0.0.1", int(tls_port), context=context)
    smtp = smtplib.SMTP("127.0.0.1", int(starttls_port))
    smtp.starttls(context=context)
    return smtp


def message(text, subject="hello"):
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, "bob@example.net", subject
    mail.set_content(text)
    return mail


def held(name, good):
    assert good, name
    print(name)


for over in ("starttls", "tls"):
    smtp = connect(over)
    smtp.login(user, password)
    held(f"plain text over {over}", smtp.send_message(message("hi\n.\n..\n")) == {})
    mail = message("naïve café\n")
    mail.replace_header("Content-Transfer-Encoding", "8bit")
    held(f"8-bit text over {over}", smtp.sendmail(
        sender, ["bob@example.net"], mail.as_bytes(), mail_options=["BODY=8BITMIME"]) == {})
    held(f"UTF-8 header over {over}", smtp.sendmail(
        sender, ["jürgen@example.net"], message("hi\n", "grüße").as_bytes(),
        mail_options=["SMTPUTF8", "BODY=8BITMIME"]) == {})
    smtp.quit()

for mechanism in (smtp.auth_plain, smtp.auth_login):
    for who, what in ((user, "wrong"), ("nobody", password)):
        smtp = connect("tls")
        smtp.ehlo()
        smtp.user, smtp.password = who, what
        try:
            smtp.auth(mechanism.__name__[5:].upper(), getattr(smtp, mechanism.__name__))
            held("a wrong login is refused", False)
        except smtplib.SMTPAuthenticationError as error:
            held("a wrong login is refused", error.smtp_code == 535)
        smtp.close()

smtp = smtplib.SMTP("127.0.0.1", int(starttls_port))
smtp.ehlo()
held("AUTH is not offered in plain text", "auth" not in smtp.esmtp_features)
held("mail before TLS is refused", smtp.mail(sender)[0] == 530)
